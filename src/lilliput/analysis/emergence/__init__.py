"""Emergence as a statistical question: does a score rise all along, or from a threshold on?"""
