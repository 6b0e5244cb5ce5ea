"""`faunalens serve --api`: the HTTP API for other programs. It needs no gradio."""
