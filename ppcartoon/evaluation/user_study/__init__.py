"""The preference study of Fig. 11: a page that asks people which cartoon they like best, and what they answered."""
