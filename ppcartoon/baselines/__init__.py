"""The methods that the paper compares with, trained and run by the same tools."""
