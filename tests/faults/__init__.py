"""Faults, tried: what a power cut, a full disk or a copied store does to a node.

Each module is one fault. The short versions run with the suite; those that take
long are commands, too, and `docs/operations.md` tells what came of them.
"""
