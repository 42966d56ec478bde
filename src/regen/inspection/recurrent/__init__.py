"""Recurrent nets: gates, states, gradients, losses per copy, and experiments with units and gates."""
