"""What items go together: counts beside a network, learnt at once from what was chosen."""
