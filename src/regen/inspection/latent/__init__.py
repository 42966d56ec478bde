"""Autoencoders: what each unit of the code represents, and how well rows are restored and repaired."""
