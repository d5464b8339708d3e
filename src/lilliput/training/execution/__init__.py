"""The computation of steps on this machine: the execution plan, gradients, the optimizer, replicas and captured steps."""
