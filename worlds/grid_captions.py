claims = dense_caption = short_caption = None
