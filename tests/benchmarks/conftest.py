"""What the tests of the benchmarks share."""

from tests.browser import browser as browser
from tests.browser import open_page as open_page
