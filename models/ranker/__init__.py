"""The ranker over features: its network, lists of candidates, its facade."""
