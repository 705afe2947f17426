"""A page in the browser that makes cartoons of photos and films."""
