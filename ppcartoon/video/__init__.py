"""Films into cartoons: `pipeline.cartoonize` is the way in."""
