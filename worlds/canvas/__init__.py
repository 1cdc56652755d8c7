"""The family `canvas`: what is painted or bitten stays so."""
