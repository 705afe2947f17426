"""A web page that makes cartoons of photos and videos."""
