"""What recommenders of all families do alike: ids, top-k, sampled softmax, export."""
