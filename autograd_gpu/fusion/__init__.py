"""Formulas over arrays that have not run yet, and the code generated from them."""
