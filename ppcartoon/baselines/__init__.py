"""The methods that the paper compares with; the same commands train and run them."""
