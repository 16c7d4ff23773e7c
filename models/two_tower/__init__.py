"""Two-tower retrieval: who could fit. The towers, their losses, their batches, their facade."""
