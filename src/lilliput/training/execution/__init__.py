"""Compute steps on this machine: execution plan, gradients, optimizer, replicas, captured steps."""
