"""The report's document as Markdown, JSON and data of the figures; ``reporting.html`` writes the page. They decide
nothing: which figure is bold or struck, and why, is in the document.
"""
