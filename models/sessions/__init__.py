"""Sessions: a causal Transformer, and what co-occurs beside it."""
