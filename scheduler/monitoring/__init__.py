"""The leader's monitor: what it watches, the incidents that it opens, and what it does about them."""
