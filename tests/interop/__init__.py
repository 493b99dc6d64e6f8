"""Does what other people's programs make hold here, and ours there?"""
