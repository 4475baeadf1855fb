"""From what was found on a page to Markdown: pure steps over typed blocks.

`page.Page` is what a step gets and gives, `steps.STEPS` is their order, `render` writes the
Markdown, `document` is what only the whole document can settle. Nothing here knows PDFium,
Paddle or pixels; every length is in points of the upright page.
"""
