"""The tools of every other package: files, statistics, tables, pictures, the console."""
