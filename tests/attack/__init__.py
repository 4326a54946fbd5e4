"""Files of anybody's, as they may come and as they may rot: `python -m tests.attack`.

Every kind of file that a run or its data consist of is changed in many seeded ways, and read in a
process of its own with limits on time and memory. Reading may give what the whole file gives, or
refuse it in one line that names the file, or say on stderr that it cannot vouch for it. It may not
execute anything, show a traceback, hang, die, or give another result without a word. The cases
beside the checkout are tried too. Prints the counts, and each fault with the file that shows it.
"""
