"""The containers: what Compose says of them, their images, their cells, and what pages tell about them."""
