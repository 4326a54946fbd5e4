"""Small things that every other package takes: files, numbers, tables, pictures, the console."""
