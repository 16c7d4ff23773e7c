"""One model from several that learned apart: shards and silos."""
