"""PS3.15 Annex E: what happens to each attribute of a data set that crosses to the side of the pseudonyms, and back."""
