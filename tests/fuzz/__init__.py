"""Random input, by seed: what strangers might feed recloop, and what must hold of it.

    make fuzz SEED=7 N=20000            a table by kind; each fault with what repeats it
    make fuzz SEED=7 ONLY=line:1234     that one input again
    make fuzz SEED=7 KINDS=plan,form    only these kinds

Every input is a function of the seed, its kind and its number alone. Whoever makes an input knows what
is wrong with it, and so what recloop must do: nothing here asks recloop's own code whether an input is
good.

Belongs here: making input, and judging what became of it. Keep out: input that is worked by hand (see
the tests of each folder). Neighbours: `cases.py` (what a kind is), `world.py` (the shop and its
database), `books.py` (what must hold of any database), a file for each kind, `report.py`.
"""
