"""Training objectives: what is predicted, and the loss of a prediction."""
