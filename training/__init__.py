"""How PieAPP-small was made. Not part of the installed package; run from the repository's root."""
