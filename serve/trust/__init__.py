"""Trust: what was decided and why, told and done again."""
