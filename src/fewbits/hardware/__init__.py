"""What a precision costs in silicon: accelerator, schedule, technology tables and cost."""
