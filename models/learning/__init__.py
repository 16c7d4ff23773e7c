"""How weights move: recipes, the training loop, scopes, penalties, what is remembered and rehearsed."""
