"""Made frames against true ones: metrics, tables and reports."""
