mod hostile;
mod seeds;
