"""What every other package uses: files, statistics, tables, pictures, the console."""
