"""Retrieval and ranker as one recommender: the default family."""
