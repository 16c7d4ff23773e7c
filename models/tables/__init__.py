"""What a network is made of: TensorFlow, tables and their rows, optimizers, the state of a model."""
