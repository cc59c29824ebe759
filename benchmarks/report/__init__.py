"""From result files to the performance section: one page, its figures and tables, Markdown, and the committed docs."""
