"""How good the cartoons are: FID and KID, and the paper's tables and figures."""
