"""What the pages say of their records: records in, numbers and words out.

A page's text holds no number and no verdict; it names them, and `humimp.book.tell` gives them to
it. Here they are found: a module a page, functions from tables of records to a dict, from the name
in the text to a number or a few words.
"""
