"""How steps are computed on this machine: the execution plan, gradients, the optimizer, replicas and captured steps."""
