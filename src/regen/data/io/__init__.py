"""Files, databases and folders of images, in and out."""
