"""The user study of Fig. 11: a web page on which people choose the best cartoon, and a report of their votes."""
