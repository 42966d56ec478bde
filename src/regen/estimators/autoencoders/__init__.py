"""Estimators that compress rows to a code and restore them."""
