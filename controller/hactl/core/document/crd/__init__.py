"""The CustomResourceDefinitions of HACluster and HAOperation for the Kubernetes API."""
