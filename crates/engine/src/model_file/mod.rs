//! GGUF files and Hugging Face folders, checked before anything is believed.
